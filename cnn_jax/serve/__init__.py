"""A page over one trained run, for a person at the same machine: an image in, what the network makes of it out.

`limits.py` is what a request may ask for, `viewer.py` what is answered, `searched.py` the training images among which
neighbours are searched, `app.py` the addresses, `page.py` the one page, `server.py` the socket and the signals.
Nothing that comes in names a file, and nothing is kept from one request to the next.
"""
