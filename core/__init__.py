"""LesionLens without a screen: data, models, explanation, prediction, evaluation, runs.

Nothing in here imports streamlit or `train`; the pages and the trainer import from here.
"""
