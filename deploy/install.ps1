<#
Installs, upgrades or removes the agent of restic-manager on this Windows. For Windows PowerShell 5.1 and later, run as an
administrator, in one of two ways:

  $env:RM_SERVER = 'https://SERVER'; $env:RM_TOKEN = 'TOKEN'; irm https://SERVER/install/install.ps1 | iex
  .\install.ps1 -Server https://SERVER [-HostName NAME] [-Force]
  .\install.ps1 -Uninstall [-Purge]

The token goes by the environment only: arguments can be read by every user of this machine. Without a token the host
announces itself, and somebody accepts it at the server. A second run upgrades in place and keeps the enrolment. -Force
enrols anew, and lets an older agent replace a newer one.
Everything is a function and the last line starts it, so that half a download does nothing.
#>
[CmdletBinding()]
param(
    [string] $Server = $env:RM_SERVER,
    [string] $HostName = $env:RM_HOSTNAME,
    [switch] $Force,
    [switch] $Uninstall,
    [switch] $Purge
)

function Install-ResticManagerAgent {
    param([string] $Server, [string] $Token, [string] $HostName, [bool] $Force)

    $arch = Get-AgentArchitecture
    $places = Get-AgentPlaces
    Confirm-Data $places
    $server = Get-ServerAddress $Server
    New-Item -ItemType Directory -Force -Path $places.Folder | Out-Null
    $sums = Get-Sums $server
    $agent = Find-Newest $sums "restic-manager-agent-" "-windows-$arch.exe"
    if (-not $agent) {
        Stop-Install "The server has no agent for Windows on $arch." "Its operator looks at Settings, Agents."
    }
    $restic = Find-Newest $sums "restic-" "-windows-$arch.exe"
    if (-not $restic -and -not (Test-Path -LiteralPath $places.Restic)) {
        Write-Warning "The server has no restic for Windows. Backups fail until there is restic 0.18.0 or later: put restic.exe at $($places.Restic)."
    }
    Confirm-NoUpdate $places
    $ran = Test-AgentRuns
    try {
        # Everything that can fail on the way is over before the service stops.
        $fresh = @(
            if ($Force -or -not (Test-OlderThanInstalled $places $agent)) { Get-Program $server $sums $agent $places.Agent }
            Get-Program $server $sums $restic $places.Restic
        )
        if ($fresh.Count -gt 0) {
            Stop-Agent
            # One that began during the downloads.
            Confirm-NoUpdate $places
            foreach ($path in $fresh) { Move-IntoPlace $path }
        }
        Join-Server $places $server $Token $HostName $Force
        Invoke-Agent $places @("service", "install")
        Invoke-Agent $places @("service", "start")
    }
    finally {
        foreach ($path in @($places.Agent, $places.Restic)) { Remove-Item -LiteralPath "$path.download" -Force -ErrorAction SilentlyContinue }
        if ($ran) { Resume-Agent }
    }
    Invoke-Agent $places @("status", "--wait", "60")
    Write-Host "Done. What comes next stands on the host's page: $server"
    Show-OtherRuns
}

function Get-AgentPlaces {
    $folder = Join-Path $env:ProgramFiles "restic-manager"
    $data = Join-Path $env:ProgramData "restic-manager"
    return @{
        Folder = $folder
        Agent  = Join-Path $folder "restic-manager-agent.exe"
        Restic = Join-Path $folder "restic.exe"
        Data   = $data
        Config = Join-Path $data "agent.yaml"
    }
}

# Says why in one sentence and what to do, and ends; not by exit, which would close the window of who runs this by iex.
function Stop-Install {
    param([string] $Why, [string] $Advice)
    throw "Failed: $Why $Advice"
}

# Everybody may make folders in %ProgramData%, and what stands in agent.yaml is believed from here on.
function Confirm-Data {
    param([hashtable] $Places)
    foreach ($path in @($Places.Data, $Places.Config)) {
        $item = Get-Item -LiteralPath $path -Force -ErrorAction SilentlyContinue
        if (-not $item) { continue }
        $isLink = [bool] ($item.Attributes -band [IO.FileAttributes]::ReparsePoint)
        $owner = (Get-Acl -LiteralPath $path).GetOwner([Security.Principal.SecurityIdentifier]).Value
        $own = [Security.Principal.WindowsIdentity]::GetCurrent().User.Value
        # SYSTEM, Administrators, the first administrator, and whoever runs this.
        $isOurs = @("S-1-5-18", "S-1-5-32-544", $own) -contains $owner -or $owner -match '^S-1-5-21-[\d-]+-500$'
        if ($isLink -or -not $isOurs) {
            Stop-Install "$path is a link or belongs to somebody else ($owner)." "Look at what it is, remove it and run this again."
        }
    }
}

# The agent's own record of an update that is not over: it would put the former program back over ours. One of an update
# that went back lies there until the agent starts the next time.
function Confirm-NoUpdate {
    param([hashtable] $Places)
    $record = "$($Places.Agent).update.json"
    if ((Test-Path -LiteralPath $record) -and (Select-String -LiteralPath $record -SimpleMatch '"rolled_back":null' -Quiet)) {
        Stop-Install "An update of the agent is under way." "Run this again in two minutes. If the agent does not start any more, remove $record before."
    }
}

# By the number of the right: names of groups are translated.
function Test-Administrator {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object Security.Principal.WindowsPrincipal($identity)
    return $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}

function Get-AgentArchitecture {
    # A 32-bit PowerShell sees its own architecture in the first variable and the machine's in the second.
    $machine = $env:PROCESSOR_ARCHITECTURE
    if ($env:PROCESSOR_ARCHITEW6432) { $machine = $env:PROCESSOR_ARCHITEW6432 }
    if ([Environment]::OSVersion.Version.Major -lt 10) {
        Stop-Install "This Windows is too old." "The agent needs Windows 10, Windows Server 2016 or later."
    }
    if ($machine -eq "AMD64") { return "x64" }
    if ($machine -eq "ARM64") {
        Write-Warning "There is no agent for ARM64 yet: the one for x64 is taken, which Windows 11 runs by emulation."
        return "x64"
    }
    Stop-Install "There is no agent for the architecture $machine." "It is built for x64."
}

function Get-ServerAddress {
    param([string] $Given)
    $config = (Get-AgentPlaces).Config
    if (-not $Given -and (Test-Path -LiteralPath $config)) {
        $line = Select-String -LiteralPath $config -Pattern '^server:\s*["'']?([^"'']+)' | Select-Object -First 1
        if ($line) { $Given = $line.Matches[0].Groups[1].Value }
    }
    if (-not $Given) {
        Stop-Install "The server's address is missing." "Give it in RM_SERVER or by -Server, as `"Add host`" at the server shows."
    }
    $address = $Given.Trim().TrimEnd("/")
    if ($address -notmatch '^https?://[A-Za-z0-9.:/_~%\[\]-]+$') {
        Stop-Install "The server's address `"$address`" is not one." "It is https://NAME[:PORT], without user, password and query."
    }
    if ($address -match '^http://' -and $address -notmatch '^http://(localhost|127\.|\[::1\])') {
        Write-Warning "The connection to $address is not encrypted; anyone on the way can read and change what is sent."
    }
    return $address
}

# ------------------------------------------------------------------------------------------------------------ download

function Get-File {
    param([string] $Url, [string] $Path)
    # Windows PowerShell 5.1 offers an old TLS by itself, and its progress bar makes downloads ten times slower.
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    $ProgressPreference = "SilentlyContinue"
    try {
        # No redirect: the agent follows none either, since it would carry its credentials along.
        Invoke-WebRequest -UseBasicParsing -Uri $Url -OutFile $Path -MaximumRedirection 0 -TimeoutSec 900
    }
    catch {
        Stop-Install "$Url can't be had: $($_.Exception.Message)" "Check the address, the certificate, the proxy and this machine's clock, then run this again."
    }
}

# Name to digest, of every file that the server has.
function Get-Sums {
    param([string] $Server)
    $file = [IO.Path]::GetTempFileName()
    try {
        Get-File "$Server/install/SHA256SUMS" $file
        $sums = @{}
        foreach ($line in [IO.File]::ReadAllLines($file)) {
            if ($line -cnotmatch '^([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._+~-]{0,127})$') {
                Stop-Install "$Server answered with something that is not a list of files." "Check the address; a proxy or a sign-in page of the network may be in between."
            }
            $sums[$Matches[2]] = $Matches[1]
        }
        return $sums
    }
    finally { Remove-Item -LiteralPath $file -ErrorAction SilentlyContinue }
}

# What can be compared of a version; nothing for what is none.
function Get-Version {
    param([string] $Text)
    if ($Text -notmatch '^(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$') { return $null }
    # What comes before a release ("1.0.0-rc.1") is older than it.
    $isRelease = [int] (-not $Matches[4])
    return [pscustomobject] @{ Version = [version] "$($Matches[1]).$($Matches[2]).$($Matches[3]).$isRelease"; Pre = "$($Matches[4])" }
}

# The name with the highest version between prefix and suffix; nothing when there is none.
function Find-Newest {
    param([hashtable] $Sums, [string] $Prefix, [string] $Suffix)
    $pattern = '^' + [regex]::Escape($Prefix) + '(\d.*)' + [regex]::Escape($Suffix) + '$'
    $found = foreach ($name in $Sums.Keys) {
        if ($name -match $pattern) {
            $version = Get-Version $Matches[1]
            if ($version) { [pscustomobject] @{ Name = $name; Version = $version.Version; Pre = $version.Pre } }
        }
    }
    return $found | Sort-Object -Property @("Version", "Pre") | Select-Object -Last 1 -ExpandProperty Name
}

function Test-OlderThanInstalled {
    param([hashtable] $Places, [string] $Name)
    if (-not (Test-Path -LiteralPath $Places.Agent)) { return $false }
    # One that does not even say its version is replaced.
    try { $installed = Get-Version "$(& $Places.Agent --version)" } catch { $installed = $null }
    $served = Get-Version ($Name -replace '^restic-manager-agent-(.*)-windows-.*$', '$1')
    if (-not $installed -or -not $served) { return $false }
    $isOlder = $served.Version -lt $installed.Version -or ($served.Version -eq $installed.Version -and $served.Pre -lt $installed.Pre)
    if ($isOlder) { Write-Host "A newer agent than the server's $Name is installed: it stays (-Force replaces it)." }
    return $isOlder
}

function Test-Digest {
    param([string] $Path, [string] $Digest)
    if (-not (Test-Path -LiteralPath $Path)) { return $false }
    return (Get-FileHash -Algorithm SHA256 -LiteralPath $Path).Hash -eq $Digest
}

# Downloads and checks a program, beside its place: the place when there is something to put there, nothing when not.
function Get-Program {
    param([string] $Server, [hashtable] $Sums, [string] $Name, [string] $Path)
    if (-not $Name) { return }
    if (Test-Digest $Path $Sums[$Name]) {
        Write-Host "$Name is installed already."
        return
    }
    Get-File "$Server/install/$Name" "$Path.download"
    if (-not (Test-Digest "$Path.download" $Sums[$Name])) {
        Stop-Install "$Name is not what the server's list says: its digest is another one." "The download was changed on its way, or the files on the server do not belong together. Nothing was installed."
    }
    Write-Host "$Name goes to $Path."
    return $Path
}

# A program that runs can be renamed but not replaced; restic goes on under its old name.
function Move-IntoPlace {
    param([string] $Path)
    $previous = "$Path.previous"
    if (Test-Path -LiteralPath $previous) { Remove-Item -LiteralPath $previous -Force -ErrorAction SilentlyContinue }
    if (Test-Path -LiteralPath $previous) { $previous = "$Path.$([DateTime]::UtcNow.Ticks).previous" }
    if (Test-Path -LiteralPath $Path) { Move-Item -LiteralPath $Path -Destination $previous }
    try { Move-Item -LiteralPath "$Path.download" -Destination $Path }
    catch {
        if (Test-Path -LiteralPath $previous) { Move-Item -LiteralPath $previous -Destination $Path }
        Stop-Install "$Path can't be replaced: $($_.Exception.Message)" "What was there is back. A virus scanner may hold the file; run this again."
    }
}

# ----------------------------------------------------------------------------------------------------------- the agent

function Test-AgentRuns {
    $known = Get-Service -Name "restic-manager-agent" -ErrorAction SilentlyContinue
    return [bool] ($known -and $known.Status -ne "Stopped")
}

function Stop-Agent {
    if (Test-AgentRuns) { Stop-Service -Name "restic-manager-agent" }
}

# Whatever failed, the backups of this host go on.
function Resume-Agent {
    if (Test-AgentRuns) { return }
    try { Start-Service -Name "restic-manager-agent" }
    catch { Write-Warning "The agent does not run any more: $($_.Exception.Message) See the event log (Application, source restic-manager-agent)." }
}

function Invoke-Agent {
    param([hashtable] $Places, [string[]] $Arguments)
    & $Places.Agent @Arguments | Write-Host
    if ($LASTEXITCODE -ne 0) {
        Stop-Install "`"restic-manager-agent $($Arguments -join ' ')`" ended with $LASTEXITCODE; the reason stands above." "The agent is installed. Run this again when it is mended."
    }
}

function Join-Server {
    param([hashtable] $Places, [string] $Server, [string] $Token, [string] $HostName, [bool] $Force)
    if ((Test-Path -LiteralPath $Places.Config) -and -not $Force) {
        Write-Host "This host stays enrolled (-Force enrols it anew)."
        return
    }
    $arguments = @("--server", $Server)
    if ($HostName) { $arguments += @("--hostname", $HostName) }
    if ($Force) { $arguments += "--force" }
    if (-not $Token) {
        Write-Host "No token was given: this host announces itself and waits to be accepted."
        Invoke-Agent $Places (@("announce") + $arguments)
        return
    }
    $env:RM_TOKEN = $Token
    try { Invoke-Agent $Places (@("enrol") + $arguments) }
    finally { Remove-Item Env:RM_TOKEN -ErrorAction SilentlyContinue }
}

# Jobs outlive the service: whatever runs from the agent's folder, under an old name too, and is not the service.
function Confirm-NoJob {
    param([hashtable] $Places)
    $service = Get-CimInstance -ClassName Win32_Service -Filter "Name = 'restic-manager-agent'"
    $jobs = Get-CimInstance -ClassName Win32_Process | Where-Object {
        "$($_.ExecutablePath)" -like "$($Places.Folder)\*" -and $_.ProcessId -ne $service.ProcessId
    }
    if ($jobs) {
        $numbers = ($jobs | ForEach-Object { $_.ProcessId }) -join ", "
        Stop-Install "A job runs on this host (processes $numbers)." "Wait for its end or cancel it at the server, then run this again."
    }
}

function Uninstall-ResticManagerAgent {
    param([bool] $Purge)
    $places = Get-AgentPlaces
    Confirm-NoUpdate $places
    Confirm-NoJob $places
    if (Test-Path -LiteralPath $places.Agent) { Invoke-Agent $places @("service", "uninstall") }
    if (Test-Path -LiteralPath $places.Folder) { Remove-Item -LiteralPath $places.Folder -Recurse -Force }
    if ($Purge) {
        if (Test-Path -LiteralPath $places.Data) { Remove-Item -LiteralPath $places.Data -Recurse -Force }
        Write-Host "The agent is gone, with its configuration and data. Repositories are untouched."
        return
    }
    Write-Host "The agent is gone. Its configuration and data are left in $($places.Data); -Purge removes them too."
}

# Backups that something else on this machine starts. Shown with what would end them; nothing is changed, and no command
# line is printed: it may hold a password.
function Show-OtherRuns {
    if (-not (Get-Command Get-ScheduledTask -ErrorAction SilentlyContinue)) { return }
    $tasks = Get-ScheduledTask -ErrorAction SilentlyContinue | Where-Object {
        $commands = ($_.Actions | ForEach-Object { "$($_.Execute) $($_.Arguments)" }) -join " "
        $_.State -ne "Disabled" -and "$($_.TaskPath)$($_.TaskName) $commands" -like "*restic*" -and $commands -notlike "*restic-manager*"
    }
    if (-not $tasks) { return }
    Write-Host ""
    Write-Host "restic is also started by something else on this machine. Once the backups of this host run here, this ends the old ones:"
    foreach ($task in $tasks) {
        $quotedName = $task.TaskName -replace "'", "''"
        $quotedPath = $task.TaskPath -replace "'", "''"
        Write-Host "  Disable-ScheduledTask -TaskName '$quotedName' -TaskPath '$quotedPath'"
    }
}

function Start-Installer {
    param([string] $Server, [string] $HostName, [bool] $Force, [bool] $Uninstall, [bool] $Purge)
    $ErrorActionPreference = "Stop"
    $token = $env:RM_TOKEN
    # Before anything else: nothing that is started from here inherits the token, and it does not stay in this window.
    Remove-Item Env:RM_TOKEN -ErrorAction SilentlyContinue
    if (-not (Test-Administrator)) {
        Stop-Install "This needs an administrator." "Open PowerShell by `"Run as administrator`" and run it again."
    }
    if ($Uninstall) { Uninstall-ResticManagerAgent $Purge }
    else { Install-ResticManagerAgent $Server $token $HostName $Force }
}

Start-Installer $Server $HostName $Force.IsPresent $Uninstall.IsPresent $Purge.IsPresent
