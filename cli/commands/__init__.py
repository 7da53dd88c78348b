"""The commands, a file each: options, help and a call. What runs behind them stands in `cli/runs`."""
