import sys

if __name__ == "__main__":
    try:
        from solver.cli import main

        main()
    except KeyboardInterrupt:  # before the command has begun
        sys.stderr.write("error: interrupted before anything was solved\n")
        sys.exit(130)
