# In the place of MLflow's image: the packages of the training image, which have the same version.
FROM octospoon-packages
ENV PATH=/opt/packages/bin:$PATH
CMD ["python3"]
