"""Rows beside the jobs about pictures: the words that searches find, and jobs that follow up on another one."""
