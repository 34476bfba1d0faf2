"""Parts of an input: texts, tables, images."""
