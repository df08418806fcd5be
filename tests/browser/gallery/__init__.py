"""Pictures of every page of the console: `make screenshots`.

scenery   a site as it is after a month: people, keys, calls, codes, channels
history   lets what has happened within a minute have happened within that month
states    dialogs, drawers, errors, and the time before an answer
showcase  the two pictures of the README, made anew with `--readme`
walk      opens every page as everybody, in both languages and themes, narrow and wide
sheet     all pictures on one page
"""
