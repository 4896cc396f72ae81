"""Start, list and stop workers; never see a job."""
