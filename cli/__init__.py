"""The `captionq` command: its commands, the runs behind them, their output."""
