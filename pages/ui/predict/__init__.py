"""The parts of the Predict page beyond the answer itself."""
