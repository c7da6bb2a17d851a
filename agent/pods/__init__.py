"""Who uses a GPU: pods by the kubelet's pod-resources socket, processes by the driver and their cgroups."""
