"""captionq's HTTP server beside others: the same requests in bursts of several sizes. Run it with `python -m bench.http`."""
