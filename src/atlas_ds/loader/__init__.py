"""Delivery to training. Only torch.py imports torch."""
