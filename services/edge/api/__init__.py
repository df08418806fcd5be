"""The JSON API behind the console, under `/api`: `table.py` lists every route, `shapes/` what each takes and gives."""
