"""What finds faults: simulated schedules, crashes and disk errors at every step, power loss, and kills of whole processes."""
