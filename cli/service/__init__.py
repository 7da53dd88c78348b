"""`captionq serve` as a service of launchd or systemd. What the server does lives in cli/runs/processes."""
