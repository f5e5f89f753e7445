"""Entry of ``python -m webslm``."""

from webslm.cli import main

if __name__ == "__main__":
    main()
