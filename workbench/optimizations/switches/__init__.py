"""One module for each switch; its docstring says what, why, when not, from where, at what price."""
