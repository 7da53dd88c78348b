"""The reference of the API: the OpenAPI document as pages, without scripts of others."""
