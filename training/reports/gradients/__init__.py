"""The report of `gradients`: its plots and the sentences on them."""
