"""Workers as the other processes treat them: lost ones, whose jobs are taken back, and those that are drained.

Their published states: `jobs/queue/worker_state.py`.
"""
