# In the place of Python's image: Debian's Python.
FROM octospoon-base
CMD ["python3"]
