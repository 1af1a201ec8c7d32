"""Why a network answered: evidence maps and their measures."""
