"""What a terminal or a program is shown of jobs and runs."""
