"""Making jobs: single requests, folder runs and large batches, with room, repeats, takeover and cancelling.

How rows change afterwards stands in the store.
"""
