"""The Hugging Face Hub: what is pulled from it, what is published to it, and what an owner offers there.

Every request goes through the Hub client's own session, addresses and errors; `problems` turns each error
into one sentence, in one place. Nothing here is imported before the Hub is really needed.
"""
