"""`relay doctor`: what is wrong with a deployment, and what to do about it.

Each part is checked as far as the settings reach: a password that is not given is not tried. Nothing is changed anywhere.
"""
