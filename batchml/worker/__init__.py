"""The supervising process of one machine or allocation: the loop between a channel and a pool."""
