"""The builder: a form over a draft, a preview, and a calibration in the background."""
