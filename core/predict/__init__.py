"""One picture in, one Prediction out."""
