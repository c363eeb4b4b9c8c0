"""`python -m omma`: the same words without the `omma` script."""

from omma.cli import main

if __name__ == "__main__":
    main()
