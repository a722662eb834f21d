"""Makes datasets from datasets: in another order, or from the intact rows of a damaged one."""
