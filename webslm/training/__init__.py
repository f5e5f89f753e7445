"""Everything that computes with torch to change a model: fine-tune, DPO, merge, calibration."""
