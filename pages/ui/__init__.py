"""What the pages share: frame, inputs, charts, caches. Nobody but they and the pages knows Streamlit."""
