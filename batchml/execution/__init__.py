"""Running one resampling iteration."""
