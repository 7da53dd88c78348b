"""How long rows are kept: the removal of old ones, by hand or by the setting `keep_days`, and the space that they leave."""
