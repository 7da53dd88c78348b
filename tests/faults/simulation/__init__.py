"""Schedules of clients, workers, deaths and losses over the real store, queue and worker, beside a plain model of the states."""
