"""One folder per protocol, all alike; `registry` names them."""
