"""The system of record: tables, guarded state changes, queries, the connection and its migrations.

Nothing here knows Redis or a model.
"""
