"""The site of the documentation: pages that are made from the commands, the OpenAPI document and the files beside docs/."""
