"""Pictures of a worker's cars over HTTP, at the speed of life (contract 9).

The worker keeps the poses of its cars' newest episodes (`shelf`) and an open port (`host`). While somebody watches, a
process of low priority plays them (`player`), draws them (`painter`, `studio`) and serves them (`server`).
"""
