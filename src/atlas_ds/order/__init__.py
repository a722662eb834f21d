"""Orders of delivery: exact, resumable, the same for any number of ranks. Arithmetic only; docs/order.md is the specification."""

from atlas_ds.order.epoch import EpochPlan
from atlas_ds.order.mix_order import MixOrder
from atlas_ds.order.orders import Exact, Order, Sequential, Window
from atlas_ds.order.permutation import Permutation
from atlas_ds.order.sampler import Sampler
from atlas_ds.order.state import OrderState

__all__ = ["EpochPlan", "Exact", "MixOrder", "Order", "OrderState", "Permutation", "Sampler", "Sequential", "Window"]
