"""Entry of ``python -m webslm``."""

from webslm.cli.main import main

if __name__ == "__main__":
    main()
