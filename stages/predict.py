"""Predict videos by a trained model: the command `egopack predict`, run from the checkout."""

from egopack.commands.predict import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
