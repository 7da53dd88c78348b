"""Objects in S3 and in stores that speak its protocol: their addresses, listing, reading and writing.

Rows name an object as `s3://bucket/key`. In the program its path is `Path("s3:/bucket/key")`, which is relative: it is no file,
and only this package reads and writes it.
"""
