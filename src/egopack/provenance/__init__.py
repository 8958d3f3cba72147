"""Which code and which params a result was made with."""
