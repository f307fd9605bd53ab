from kolbench.cli import main

main()
