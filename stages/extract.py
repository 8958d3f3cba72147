"""Extract features of videos: the command `egopack extract`, run from the checkout."""

from egopack.commands.extract import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
