"""CSM: a Llama backbone and a depth decoder that write Mimi's codes, one frame at a time."""
