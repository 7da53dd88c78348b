"""Downloads of models that admins ask a worker for over HTTP: the wishes, who takes one, and how far it is.

The download itself: `worker/downloads/`. All of it is JSON in Redis, and ends after a day.
"""
