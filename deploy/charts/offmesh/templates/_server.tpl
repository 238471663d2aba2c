{{/* The command line of a server. */}}
{{- define "offmesh.args" -}}
{{- $ca := .Values.certificateAuthority -}}
- serve
{{- with .Values.mesh.trustDomain }}
- --trust-domain={{ . }}
{{- end }}
- --cluster-id={{ .Values.mesh.clusterId }}
{{- with .Values.mesh.network }}
- --network={{ . }}
{{- end }}
{{- with .Values.mesh.rootNamespace }}
- --root-namespace={{ . }}
{{- end }}
{{- with .Values.mesh.revision }}
- --revision={{ . }}
{{- end }}
- --{{ if not .Values.rbac.istioResources }}no-{{ end }}istio-resources
- --cluster-conf-configmap={{ include "offmesh.placementNamespace" . }}/{{ .Values.placement.configMap.name }}
- --ca-secrets={{ if not $ca.volume }}{{ join "," $ca.secrets }}{{ end }}
{{- if $ca.volume }}
- --certs=/var/lib/offmesh/certs
{{- end }}
- --{{ if not $ca.rootConfigMaps }}no-{{ end }}root-config-maps
- --trusted-node-accounts={{ join "," .Values.identity.trustedNodeAccounts }}
- --agent-accounts={{ .Release.Namespace }}/offmesh-agent
- --token-audience={{ .Values.identity.tokenAudience }}
- --{{ if not .Values.identity.clientCertificates }}no-{{ end }}client-certificates
{{- range concat (include "offmesh.ownSans" . | fromYamlArray) .Values.identity.tlsSans }}
- --tls-san={{ . }}
{{- end }}
- --unhealthy-pairs={{ .Values.liveness.unhealthyPairs }}
- --{{ if not .Values.liveness.reports }}no-{{ end }}pair-reports
- --lease-namespace={{ include "offmesh.leaseNamespace" . }}
{{- if .Values.dpuCluster.kubeconfigSecret }}
- --dpu-kubeconfig=/etc/offmesh/dpu-cluster/kubeconfig
{{- with .Values.dpuCluster.context }}
- --dpu-context={{ . }}
{{- end }}
{{- end }}
- --tunnel-type={{ .Values.datapath.tunnelType }}
- --{{ if not .Values.datapath.captureDns }}no-{{ end }}capture-dns
- --drain-seconds={{ .Values.streams.drainSeconds }}
- --max-connection-age-seconds={{ .Values.streams.maxConnectionAgeSeconds }}
{{- if .Values.http.expose }}
- --http-address=:15014
{{- $name := printf "offmesh.%s" .Release.Namespace }}
{{- range concat (list $name (printf "%s.svc" $name) (printf "%s.svc.cluster.local" $name)) .Values.http.hosts }}
- --http-host={{ . }}
{{- end }}
{{- end }}
- --log-level={{ .Values.logs.level }}
- --log-format={{ .Values.logs.format }}
{{- end }}

{{/* Where Istio's ConfigMap is, and the Services are that the server's certificate names. */}}
{{- define "offmesh.istioNamespace" -}}
{{ .Values.mesh.rootNamespace | default "istio-system" }}
{{- end }}

{{/* Services in other namespaces than Istio's have to be told. */}}
{{- define "offmesh.ownSans" -}}
{{- if ne .Release.Namespace (include "offmesh.istioNamespace" .) }}
{{- range ternary (list "istiod" "offmesh") (list "offmesh") .Values.services.istiod.enabled }}
- {{ . }}.{{ $.Release.Namespace }}.svc
- {{ . }}.{{ $.Release.Namespace }}.svc.cluster.local
{{- end }}
{{- else -}}
[]
{{- end }}
{{- end }}

{{- define "offmesh.volumeMounts" -}}
# The Kubernetes client writes the credentials of a kubeconfig to files.
- name: tmp
  mountPath: /tmp
{{- if .Values.certificateAuthority.volume }}
- name: certs
  mountPath: /var/lib/offmesh/certs
{{- end }}
{{- if .Values.dpuCluster.kubeconfigSecret }}
- name: dpu-cluster
  mountPath: /etc/offmesh/dpu-cluster
  readOnly: true
{{- end }}
{{- end }}

{{- define "offmesh.volumes" -}}
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- with .Values.certificateAuthority.volume }}
- name: certs
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.dpuCluster }}
{{- if .kubeconfigSecret }}
- name: dpu-cluster
  secret:
    secretName: {{ .kubeconfigSecret | quote }}
    defaultMode: 0440
    items:
      - key: {{ .kubeconfigKey | quote }}
        path: kubeconfig
{{- end }}
{{- end }}
{{- end }}
